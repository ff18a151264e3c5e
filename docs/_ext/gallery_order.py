"""The order in which to read the examples."""

EXAMPLES = [
    "plot_quickstart.py",
    "plot_tables.py",
    "plot_missing_labels.py",
    "plot_search_heads.py",
    "plot_one_task.py",
    "plot_joint_or_separate.py",
    "plot_many_tasks.py",
    "plot_new_task.py",
    "plot_transfer.py",
    "plot_scenes.py",
]


def position(file_name):
    return EXAMPLES.index(file_name)

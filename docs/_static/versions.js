// The versions of this site, newest first, each in a folder beside the others. When a
// new version is published, its file replaces those of the older ones, which then list it.
const versions = ["0.2.0"];

document.addEventListener("DOMContentLoaded", () => {
  const root = document.documentElement.dataset.content_root;
  for (const list of document.querySelectorAll(".versions ul")) {
    const current = list.dataset.version;
    for (const version of versions.filter((each) => each !== current)) {
      const link = document.createElement("a");
      link.href = `${root}../${version}/index.html`;
      link.textContent = version;
      list.append(document.createElement("li"));
      list.lastChild.append(link);
    }
  }
});

"""Serve a saved model over HTTP with FastAPI.

    MODEL=model.safetensors uvicorn serve:app

`POST /predict` takes a list of patients and returns, for each task, the prediction and,
if the task has classes, their probabilities. The model was fitted on the columns of
`Patient`, in that order.
"""

import os
import warnings
from contextlib import asynccontextmanager
from typing import Annotated

import numpy as np
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

import skmtl


class Patient(BaseModel):
    """A row of X. All columns are required; null means that the value is missing."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    age: Annotated[float, Field(ge=0, le=130)] | None
    dose: float | None
    ward: str | None  # a ward that `fit` has not seen is fine
    smokes: bool | None


class Answer(BaseModel):
    """The prediction for one task: a class, as text, or a number."""

    prediction: str | float
    probabilities: dict[str, float] | None = None  # None: the task is a number


COLUMNS = list(Patient.model_fields)

# Rows go to the model as an array, without names. `lifespan` compares the names.
warnings.filterwarnings("ignore", message="X does not have valid feature names")


@asynccontextmanager
async def lifespan(app):
    """Load the model once, before the first request."""
    model = skmtl.load(os.environ["MODEL"])
    if model.feature_names_in_.tolist() != COLUMNS:
        raise ValueError(
            f"The model must have the columns {COLUMNS}, but was fitted on "
            f"{model.feature_names_in_.tolist()}. Adapt `Patient`."
        )
    app.state.model = model
    yield


app = FastAPI(title="Predictions", lifespan=lifespan)


@app.exception_handler(RequestValidationError)
def explain(request, error):
    """Say what is wrong and where, but do not send the values back.

    They may be personal, and JSON has no infinity.
    """
    detail = [{"loc": one["loc"], "msg": one["msg"]} for one in error.errors()]
    return JSONResponse({"detail": detail}, status_code=422)


def classes_and_probabilities(model, X):
    """Return the two for each task, or a pair of None for a number."""
    if not hasattr(model, "predict_proba"):  # all tasks are numbers
        return [(None, None) for _ in model.task_names_]
    classes, probabilities = model.classes_, model.predict_proba(X)
    if not isinstance(classes, list):  # fitted on a single column
        return [(classes, probabilities)]
    if not isinstance(probabilities, list):  # all tasks are binary: P(second class)
        probabilities = [np.stack([1 - p, p], axis=1) for p in probabilities.T]
    return zip(classes, probabilities, strict=True)


def answers_for_task(predicted, classes, probabilities):
    """Return one answer for each row."""
    if classes is None:
        return [Answer(prediction=float(number)) for number in predicted]
    names = {label: str(label) for label in classes}
    return [
        Answer(
            prediction=names[label],
            probabilities=dict(zip(names.values(), row, strict=True)),
        )
        for label, row in zip(predicted, probabilities.tolist(), strict=True)
    ]


# Not `async`: FastAPI calls it in a thread of its own, so that requests do not wait
# for one another. Predictions are safe in several threads.
@app.post("/predict", response_model_exclude_none=True)
def predict(
    patients: Annotated[list[Patient], Field(min_length=1, max_length=1_000)],
    request: Request,
) -> list[dict[str, Answer]]:
    """Return the answers for each patient, with the names of the tasks as keys."""
    model = request.app.state.model
    rows = [[getattr(patient, name) for name in COLUMNS] for patient in patients]
    X = np.array(rows, dtype=object)
    predictions = model.predict(X).reshape(len(X), -1)  # applies tuned thresholds
    answers = [{} for _ in patients]
    for task, predicted, (classes, probabilities) in zip(
        model.task_names_,
        predictions.T,
        classes_and_probabilities(model, X),
        strict=True,
    ):
        for answer, one in zip(
            answers, answers_for_task(predicted, classes, probabilities), strict=True
        ):
            answer[task] = one
    return answers

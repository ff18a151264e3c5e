"""Serve a saved model over HTTP with FastAPI.

    MODEL=model.safetensors uvicorn serve:app

`POST /predict` takes a list of patients and returns the probability of every class of
every task. The model was fitted on the columns of `Patient`, in that order.
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


# Not `async`: FastAPI calls it in a thread of its own, so that requests do not wait
# for one another. Predictions are safe in several threads.
@app.post("/predict")
def predict(
    patients: Annotated[list[Patient], Field(min_length=1, max_length=1_000)],
    request: Request,
) -> list[dict[str, dict[str, float]]]:
    """Return, for each patient, the probabilities of the classes of each task."""
    model = request.app.state.model
    rows = [[getattr(patient, name) for name in COLUMNS] for patient in patients]
    probabilities = model.predict_proba(np.array(rows, dtype=object))
    if not isinstance(probabilities, list):  # all tasks are binary: P(second class)
        probabilities = [np.stack([1 - p, p], axis=1) for p in probabilities.T]
    answers = [{} for _ in patients]
    for task, classes, p in zip(
        model.task_names_, model.classes_, probabilities, strict=True
    ):
        names = [str(label) for label in classes]
        for answer, row in zip(answers, p.tolist(), strict=True):
            answer[task] = dict(zip(names, row, strict=True))
    return answers

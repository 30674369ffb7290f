"""Linear models: the verdict of every training, and the weights of the one that is in force."""

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session, defer

from receiver.db.models import LinearModel


def save(session: Session, model: LinearModel) -> None:
    """Note a training. Its verdict is the one that counts: any earlier model leaves, and its weights with it."""
    session.execute(update(LinearModel).where(LinearModel.in_force).values(in_force=False, weights=None))
    session.add(model)
    session.flush()


def latest(session: Session) -> LinearModel | None:
    """The last training, without the weights."""
    return session.scalar(select(LinearModel).options(defer(LinearModel.weights)).order_by(LinearModel.id.desc()))


def current(session: Session) -> int | None:
    """The id of the model that is in force, if one is."""
    return session.scalar(select(LinearModel.id).where(LinearModel.in_force))


def weights(session: Session, model_id: int) -> bytes | None:
    """What the model consists of; None where it has left."""
    return session.scalar(select(LinearModel.weights).where(LinearModel.id == model_id))


def trained_to(session: Session, model_id: int | None) -> int:
    """The id of the newest example that the model has seen; 0 without a model."""
    return session.scalar(select(LinearModel.known_newest).where(LinearModel.id == model_id)) or 0


def forget_all(session: Session) -> None:
    """Drop every model, because what it was trained with must not live on in it; the next training starts afresh."""
    session.execute(delete(LinearModel))

"""Is this message from who it says? One file for each way in which helpdesks prove it."""

from receiver.signatures.message import Message, SignatureError, refuse_published
from receiver.signatures.standard import sign_standard, standard_key, verify_standard

__all__ = ["Message", "SignatureError", "refuse_published", "sign_standard", "standard_key", "verify_standard"]

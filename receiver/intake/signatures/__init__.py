"""Is this message from who it says? One file for each way in which helpdesks prove it."""

from receiver.intake.signatures.message import Message, SignatureError
from receiver.intake.signatures.standard import sign_standard, verify_standard

__all__ = ["Message", "SignatureError", "sign_standard", "verify_standard"]

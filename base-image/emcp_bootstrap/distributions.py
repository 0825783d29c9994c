"""Which distribution brings a module that is not there, and what to do about it.

Installs nothing and asks no index: it knows the names that differ.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

# Import names whose distribution is called otherwise, as far as they are common.
_DISTRIBUTIONS = {
    "Bio": "biopython", "Crypto": "pycryptodome", "MySQLdb": "mysqlclient", "OpenSSL": "pyOpenSSL", "PIL": "pillow",
    "attr": "attrs", "bs4": "beautifulsoup4", "cairo": "pycairo", "cv2": "opencv-python-headless", "dateutil":
    "python-dateutil", "discord": "discord.py", "docx": "python-docx", "dotenv": "python-dotenv", "exa_py": "exa-py",
    "faiss": "faiss-cpu", "fitz": "PyMuPDF", "git": "GitPython", "github": "PyGithub", "gitlab": "python-gitlab",
    "googleapiclient": "google-api-python-client", "google_auth_oauthlib": "google-auth-oauthlib", "graphviz":
    "graphviz", "jose": "python-jose", "jwt": "PyJWT", "kafka": "kafka-python", "kubernetes": "kubernetes", "ldap":
    "python-ldap", "lxml": "lxml", "magic": "python-magic", "markdown": "Markdown", "multipart": "python-multipart",
    "mysql": "mysql-connector-python", "nacl": "PyNaCl", "openpyxl": "openpyxl", "osgeo": "GDAL", "pkg_resources":
    "setuptools", "playwright": "playwright", "pptx": "python-pptx", "psycopg2": "psycopg2-binary", "pymysql":
    "PyMySQL", "pypdf": "pypdf", "PyPDF2": "PyPDF2", "pythonjsonlogger": "python-json-logger", "pytz": "pytz",
    "ruamel": "ruamel.yaml", "serial": "pyserial", "skimage": "scikit-image", "sklearn": "scikit-learn", "slack_sdk":
    "slack_sdk", "slugify": "python-slugify", "snowflake": "snowflake-connector-python", "socks": "PySocks", "speech_recognition":
    "SpeechRecognition", "telegram": "python-telegram-bot", "tweepy": "tweepy", "usb": "pyusb", "websocket":
    "websocket-client", "win32com": "pywin32", "wx": "wxPython", "yaml": "PyYAML", "youtube_transcript_api":
    "youtube-transcript-api", "zmq": "pyzmq",
}  # fmt: skip

# What people call the modules of their own project.
_OWN_NAMES = re.compile(
    r"^(app|src|lib|common|config|configs|settings|constants|core|models?|schemas?|types_?|utils?|helpers?|tools?|"
    r"services?|clients?|handlers?|server|servers|prompts?|resources?|database|db|api|auth|logger|logging_config|"
    r"exceptions?|errors?|my_?\w*|local_?\w*|\w+_(utils?|helpers?|config|settings|constants|tools|models?|lib|module))$"
)


def distribution_of(module: str) -> str:
    """The name to install it by; often the module's own."""
    package = module.split(".")[0]
    return _DISTRIBUTIONS.get(package, package.replace("_", "-"))


def looks_like_own(module: str) -> bool:
    """Whether the name is rather a file of the user's project than a package of an index."""
    package = module.split(".")[0]
    return package not in _DISTRIBUTIONS and _OWN_NAMES.match(package) is not None


def named(module: str) -> Mapping[str, str | bool]:
    """What `advice` names, for who says it in another language."""
    return {"module": module, "distribution": distribution_of(module), "is_own": looks_like_own(module)}


def advice(module: str) -> str:
    """What to tell the developer whose file needs the module."""
    package = module.split(".")[0]
    if looks_like_own(module):
        return (
            f"module '{module}' is not there: if it is a file of your own project, only this one file was uploaded, so "
            f"put what it needs into it; if it is the package '{distribution_of(module)}', ask whoever runs this platform "
            "to add it to the image"
        )
    name = distribution_of(module)
    called = f"module '{module}'" if name == package else f"module '{module}' (package '{name}')"
    return (
        f"{called} is not in the image; ask whoever runs this platform to add it "
        f"(RUN emcp-pip install {name}), or do without; a module of your own project must be put into the file"
    )

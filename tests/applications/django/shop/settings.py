from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = (BASE_DIR / ".env").read_text()
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "db.sqlite3", "OPTIONS": {"timeout": 20}}
}

import os
from urllib.parse import unquote, urlsplit

url = urlsplit(os.environ["DATABASE_URL"])
SECRET_KEY = "not one"
INSTALLED_APPS = ["orders"]
#: Each test chooses what the release holds.
MIGRATION_MODULES = {"orders": f"orders.{os.environ.get('MIGRATIONS', 'second')}"}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": url.hostname,
        "PORT": url.port or 5432,
        "NAME": url.path[1:],
        "USER": unquote(url.username),
        "PASSWORD": unquote(url.password),
    }
}

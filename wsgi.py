"""The WSGI application for a production server: `gunicorn -c gunicorn.conf.py wsgi:app`."""

import os

import miniprogram_api
from app.config import load_settings
from app.factory import build_container, create_app
from app.http import logs

settings = load_settings(os.environ)
logs.configure(settings.log_level)
container = build_container(settings)
app = create_app(container, [miniprogram_api])

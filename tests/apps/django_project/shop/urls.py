"""Which view answers which path."""

from django.contrib import admin
from django.urls import path

from shop import views

urlpatterns = [
    path("", views.guest_book),
    path("upload", views.upload),
    path("admin/", admin.site.urls),
]

"""A guest book in the session, and an upload."""

import hashlib

from django import forms
from django.core.files.storage import default_storage
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template import engines

_PAGE = """<!doctype html><title>Guests</title>
<form method="post">{% csrf_token %}{{ form }}</form>
{% for name in guests %}<li>{{ name }}</li>{% endfor %}"""


class Guest(forms.Form):  # type: ignore[misc]
    """A name for the guest book."""

    name = forms.CharField(max_length=40)


class Picture(forms.Form):  # type: ignore[misc]
    """A file."""

    file = forms.FileField()


def guest_book(request: HttpRequest) -> HttpResponse:
    """Show the names that this visitor's session holds, or add a name."""
    form = Guest(request.POST or None)
    guests = request.session.get("guests", [])
    if form.is_valid():
        request.session["guests"] = [*guests, form.cleaned_data["name"]]
        return redirect("/")
    page = engines["django"].from_string(_PAGE)
    return HttpResponse(page.render({"form": form, "guests": guests}, request))


def upload(request: HttpRequest) -> HttpResponse:
    """Store the file, and answer with the checksum of what is stored."""
    form = Picture(request.POST, request.FILES)
    if not form.is_valid():
        return HttpResponse(str(form.errors), status=400)
    name = default_storage.save("picture", form.cleaned_data["file"])
    with default_storage.open(name) as stored:
        return HttpResponse(hashlib.sha256(stored.read()).hexdigest())

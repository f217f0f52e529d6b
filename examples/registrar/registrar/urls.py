"""The site's addresses."""

from django.contrib import admin
from django.urls import path
from students import views

urlpatterns = [
    path("", views.roll, name="roll"),
    path("students/", views.roll),
    path("search/", views.search, name="search"),
    path("students/<int:number>/", views.record, name="record"),
    path("students/<int:number>/documents/", views.upload, name="upload"),
    path("students/<int:number>/transcript/", views.transcript, name="transcript"),
    path("files/<path:name>", views.document, name="document"),
    path("transcripts/", views.verify),
    path("health/", views.health),
    path("admin/", admin.site.urls),
]

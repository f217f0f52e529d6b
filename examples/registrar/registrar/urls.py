"""The site's addresses."""

from django.urls import path
from students import views

urlpatterns = [
    path("students/", views.enrol),
    path("students/<int:number>/", views.record),
    path("students/<int:number>/transcript/", views.transcript),
    path("transcripts/", views.verify),
    path("health/", views.health),
]

"""The paths of the site."""

from django.contrib import admin
from django.urls import path
from papers import views

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", views.index),
    path("request/", views.show_request),
    path("request/async/", views.show_request_async),
    path("papers/", views.add_paper),
    path("papers/<int:number>/file/", views.download),
    path("papers/async/", views.count_papers),
    path("query/", views.query),
    path("session/", views.session),
    path("stream/", views.stream),
    path("stream/async/", views.stream_async),
    path("wait/<slug:gate>/", views.wait),
    path("leave/<slug:word>/", views.notice_leaving),
    path("boom/", views.boom),
]

"""Django's commands of this app: there is one, `strongroom`. Its verbs are in strongroom.django.verbs."""

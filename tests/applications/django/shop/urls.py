from django.conf import settings
from django.db import connection
from django.http import HttpResponse
from django.urls import path

VERSION = 1


def order(request, number):
    """Keeps an order in the database, and a line in a file."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO orders (number) VALUES (%s)", [number])
    with open(settings.BASE_DIR / "media" / f"{number}.txt", "w") as receipt:
        receipt.write(str(number))
    return HttpResponse(f"kept {number}")


def page(request):
    return HttpResponse(f"version {VERSION}")


urlpatterns = [path("", page), path("order/<int:number>", order)]

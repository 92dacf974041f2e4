from django.db import migrations, models


class Migration(migrations.Migration):
    replaces = (
        ("orders", "0001_initial"),
        ("orders", "0002_email"),
    )
    dependencies = ()
    operations = (
        migrations.CreateModel(
            "Order",
            [("id", models.BigAutoField(primary_key=True)), ("name", models.CharField(max_length=80))],
        ),
        migrations.AddField("order", "email", models.CharField(max_length=80, null=True)),
    )

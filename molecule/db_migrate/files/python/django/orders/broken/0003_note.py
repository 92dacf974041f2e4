from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = (("orders", "0002_email"),)
    operations = (migrations.AddField("order", "note", models.TextField(null=True)),)

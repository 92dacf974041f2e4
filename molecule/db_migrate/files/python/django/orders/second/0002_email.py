from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = (("orders", "0001_initial"),)
    operations = (migrations.AddField("order", "email", models.CharField(max_length=80, null=True)),)

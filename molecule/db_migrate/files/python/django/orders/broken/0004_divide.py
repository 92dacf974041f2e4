from django.db import migrations


class Migration(migrations.Migration):
    dependencies = (("orders", "0003_note"),)
    operations = (migrations.RunSQL("SELECT 1 / 0"),)

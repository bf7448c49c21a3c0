"""Static files in production."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class StaticStorage(CompressedManifestStaticFilesStorage):
    """Names that follow the content, also where one script imports another: no page runs scripts of two versions."""

    support_js_module_import_aggregation = True

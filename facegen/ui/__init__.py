"""The studio in the browser: the only room that knows gradio."""

import os

# Gradio reads this when it is imported, which this room's modules do next: nothing leaves the machine unasked.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

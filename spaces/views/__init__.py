"""What each search backend sees of a space: its coordinates, in the backend's own terms.

A view translates coordinates there and numbers back, and nothing else: ranges and conditions stay in the
space. A backend is imported when its view is used.
"""

"""End-to-end encrypted folders for Nextcloud-compatible clouds."""

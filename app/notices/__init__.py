"""Notices: what operators must look at reaches them where they are, bundled."""

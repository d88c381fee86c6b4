"""Sites that run while the tests of one class do: a hub, and others that join at it."""
import json
import os
import shutil
import tempfile
import unittest

from waypost import Site, run


class SitesCase(unittest.TestCase):
    """NAMES  the sites, the hub first
    CONF   lines more in every dird.conf

    A class has `folder` and `sites` {name: Site}; when a test fails the logs are shown.
    """

    NAMES = ("Hub",)
    CONF = ""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix=f"waypost-{cls.__name__}-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.sites = {n: Site(os.path.join(cls.folder, n), n, n.lower() + ".example.com")
                     for n in cls.NAMES}
        for site in cls.sites.values():
            cls.addClassCleanup(site.close)
        hub, *others = cls.sites.values()
        hub.init()
        cls.begin(hub)
        for site in others:
            site.join(hub.token(site.name))
            cls.begin(site)

    @classmethod
    def begin(cls, site):
        with open(site.path("dird.conf"), "a", encoding="ascii") as f:
            f.write("\n" + cls.CONF)
        site.start("dird")

    @staticmethod
    def link_status(site, context, partner):
        """What `sitectl status` says at a site of one context and partner."""
        out = run("sitectl", "status", "--json", "--config", site.path("dird.conf"))
        rows = [json.loads(line) for line in out.splitlines()]
        return next(r for r in rows if r["context"].startswith(context + ",") and r["partner"] == partner)

    def setUp(self):
        self.addCleanup(self.show_logs)

    def show_logs(self):
        if self._outcome.result.failures or self._outcome.result.errors:
            for name, site in self.sites.items():
                print(f"--- dird of {name}\n{site.log('dird')[-4000:]}")

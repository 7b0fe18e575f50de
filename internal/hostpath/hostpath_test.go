package hostpath_test

import (
	"testing"

	"coin.internal/coin-agent/internal/hostpath"
)

func TestForms(t *testing.T) {
	for _, test := range []struct {
		name, plain, alias string
		twisted            bool
	}{
		{"/", "/", "/", false},
		{"/srv/", "/srv", "/srv/", false},
		{"//srv", "/srv", "//srv", true},
		{"/srv/../etc", "/etc", "/srv/../etc", true},
		{"/var/run/docker.sock", "/run/docker.sock", "/var/run/docker.sock", false},
		{"/run", "/run", "/var/run", false},
		{"/runner", "/runner", "/runner", false},
		{"/srv/{{.Node.ID}}/..", "/srv/{{.Node.ID}}/..", "/srv/{{.Node.ID}}/..", false},
		{"", ".", "", true},
	} {
		if got := hostpath.Plain(test.name); got != test.plain {
			t.Errorf("the plain form of %q is %q, want %q", test.name, got, test.plain)
		}
		if got := hostpath.Alias(test.name); got != test.alias {
			t.Errorf("the other name of %q is %q, want %q", test.name, got, test.alias)
		}
		if got := hostpath.Twisted(test.name); got != test.twisted {
			t.Errorf("%q is twisted: %t", test.name, got)
		}
	}
}

func TestWithin(t *testing.T) {
	for _, test := range []struct {
		name, folder string
		want         bool
	}{
		{"/srv", "/srv", true}, {"/srv/a", "/srv", true}, {"/srv", "/", true}, {"/srvs", "/srv", false}, {"/", "/srv", false},
	} {
		if got := hostpath.Within(test.name, test.folder); got != test.want {
			t.Errorf("%s within %s: %t", test.name, test.folder, got)
		}
	}
}

func TestProcessLink(t *testing.T) {
	for name, want := range map[string]bool{
		"/proc/1/root": true, "/proc/self/task/1/cwd/etc": true, "/proc/1/fd/3": true, "/proc/1/rooted": false, "/proc/meminfo": false, "/srv/proc/1/root": false,
	} {
		if got := hostpath.ProcessLink(name); got != want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

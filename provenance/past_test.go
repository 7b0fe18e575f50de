package provenance_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTraceOldFiles reads commits that a sync would refuse: a node that config.yml does not list
// yet, files that are not valid, services that extend each other. What includes define counts.
func TestTraceOldFiles(t *testing.T) {
	l := newLab(t)
	const node4 = nodes + "node4/"
	l.by("Bob", date(2, 1), "A folder", map[string]string{
		node4 + "docker-compose.yml":   stack + "  vpn: {external: {name: \"vpn.$SV_vpn\"}}\n",
		node4 + "secrets.override.env": "SV_db_access=1\nSV_vpn=3\n",
	})
	l.by("Bob", date(2, 2), "Not valid", map[string]string{"environments/sandbox/config.yml": "nodes: [\n"})
	l.by("Carl", date(2, 3), "Listed", map[string]string{
		"environments/sandbox/config.yml": config + "  - {name: node4, context: c4}\n",
		node4 + "docker-compose-more.yml": `include: [./parts/base.yml]
services:
  a: {image: "a:1", extends: {service: b}, secrets: [shared]}
  b: {image: "b:1", extends: {service: a}, secrets: [{source: vpn}]}
`,
		node4 + "parts/base.yml": "services: {c: {image: \"c:1\", secrets: [shared]}}\nsecrets: {shared: {file: ./x, name: \"shared.${SV_shared:-4}\"}}\n",
	})
	l.by("Eve", date(2, 4), "Not YAML", map[string]string{node4 + "docker-compose.yml": "secrets: [\n"})
	l.by("Eve", date(2, 5), "YAML", map[string]string{node4 + "docker-compose.yml": stack})
	report := l.trace(l.keys)
	for name, want := range map[string][]string{
		"db_access": {"1 added value=no Bob 02-01", " removed value=unknown Eve 02-04", "1 again value=unknown Eve 02-05 *"},
		"shared":    {"4 added value=no Carl 02-03 *"},
	} {
		if diff := cmp.Diff(want, entryLines(find(t, report, name, "node4"))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if shared := find(t, report, "shared", "node4"); shared.Object != "shared.4" || fmt.Sprint(shared.Users) != "[node4_a node4_b node4_c]" {
		t.Errorf("shared is %s, of %v", shared.Object, shared.Users)
	}
}

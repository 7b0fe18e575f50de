package release_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/release"
)

// The stacks of a node move by their names: each compose file, and the release of the node. A stack
// that only FROM lists does not move. The image of the stack that moves is next to a port of the node: the
// merge request says so.
func TestPromotionOfStacks(t *testing.T) {
	const listed = "2025-12-20-1111111111" // the release with which both list their stacks
	p := newPromotions(t, nil)
	compose := func(image, port string) string {
		return "services:\n  web:\n    image: " + image + ":$TAG\n    ports: ['" + port + ":80']\n"
	}
	config := func(environment, node, stacks string) string {
		return "environment: {name: " + environment + ", type: non-production}\nnodes:\n  - {name: " + node + ", context: c, stacks: [" + stacks + "]}\n"
	}
	from, to := sandbox+"nodes/node3/", testing4+"nodes/test1/"
	p.Commit("Stacks", map[string]string{
		sandbox + "config.yml":  config("sandbox", "node3", "{name: system}, {name: platform}, {name: shop}"),
		testing4 + "config.yml": config("testing", "test1", "{name: system}, {name: platform}"),
		from + "node.env":       "TAG=" + listed + "\nREPLICAS=1\n", to + "node.env": "TAG=" + listed + "\nREPLICAS=3\n",
		from + "system/docker-compose.yml": compose("router", "80"), to + "system/docker-compose.yml": compose("router", "8080"),
		from + "platform/docker-compose.yml": compose("db", "81"), to + "platform/docker-compose.yml": compose("db", "8081"),
		from + "shop/docker-compose.yml": compose("shop", "82"),
	})
	p.Commit("Third release", map[string]string{
		from + "node.env":                    "TAG=" + third + "\nREPLICAS=1\n",
		from + "platform/docker-compose.yml": compose("postgres", "81"),
		from + "shop/docker-compose.yml":     compose("market", "82"),
	})
	plan := p.must(release.Promotion{})
	want := map[string]string{
		"nodes/test1/node.env":                    "TAG=" + third + "\nREPLICAS=3\n",
		"nodes/test1/platform/docker-compose.yml": compose("postgres", "8081"),
	}
	if diff := cmp.Diff(want, after(plan)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	beside := []string{to + "platform/docker-compose.yml:3"}
	if !slices.Equal(plan.Beside, beside) || !strings.Contains(plan.Text(nil, ""), "- Check that these lines of sandbox fit those next to them, which testing has changed:\n  - "+beside[0]) {
		t.Errorf("got %v in\n%s", plan.Beside, plan.Text(nil, ""))
	}
	if plan.Release != third || len(plan.Nodes) != 1 || len(plan.Problems) > 0 {
		t.Errorf("got %+v", plan)
	}
}

package manifests_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/internal/apart"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/limits"
	"coin.internal/coin-agent/manifests"
)

// TestBombs loads files that cost much more than they have. Each is refused at once, with the
// limit and how to raise it.
func TestBombs(t *testing.T) {
	aliases := "environment: sandbox\nx0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 9 {
		aliases += fmt.Sprintf("x%d: &a%[1]d [%s]\n", i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 10), ", "))
	}
	lines := "A0=" + strings.Repeat("x", 100<<10) + "\n"
	for i := range 1000 {
		lines += fmt.Sprintf("A%d=$A0\n", i+1)
	}
	for name, bomb := range map[string]struct {
		limit string
		files map[string]string
	}{
		"config.yml of aliases":            {"yaml_values", map[string]string{"environments/sandbox/config.yml": aliases}},
		"config.yml of 300 KB of aliases":  {"config_values", map[string]string{"environments/sandbox/config.yml": "a: &a [1, 1]\nb: [" + strings.Repeat("*a, ", 75_000) + "1]\n"}},
		"config.yml of depth":              {"yaml_depth", map[string]string{"environments/sandbox/config.yml": "a: " + strings.Repeat("[", 9000) + strings.Repeat("]", 9000)}},
		"config.yml":                       {"yaml_bytes", map[string]string{"environments/sandbox/config.yml": strings.Repeat("# comment\n", 300_000)}},
		"node.env of 12 KB of defaults":    {"brackets", map[string]string{"node.env": "A=" + strings.Repeat("${A:-", 2000) + strings.Repeat("}", 2000) + "\n"}},
		"node.env of 200 KB of arithmetic": {"brackets", map[string]string{"node.env": strings.Repeat("((-\n", 50_000)}},
		"node.env of 1.8 MB of defaults":   {"variables_bytes", map[string]string{"node.env": "A=" + strings.Repeat("${A:-", 300_000)}},
		"node.env that repeats a value":    {"stack_bytes", map[string]string{"node.env": lines}},
		"node.env that repeats it on one line": {"stack_bytes", map[string]string{
			"node.env": "B=" + strings.Repeat("x", 100<<10) + "\n" + strings.Repeat("A+=$B ", 40_000) + "\n",
		}},
		"secrets.override.env of defaults": {"brackets", map[string]string{"secrets.override.env": "SV_a=" + strings.Repeat("${A:-", 300) + "\n"}},
		"a template of 1.4 MB": {"stack_bytes", map[string]string{
			"templates/project.env.template": strings.Repeat("A={{A}}{{A}}\n", 100_000), "environments/sandbox/common/project.env": "A=" + strings.Repeat("x", 60<<10) + "\n",
		}},
		"project.env": {"file_bytes", map[string]string{"project.env": strings.Repeat("A=1\n", 2<<20)}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			_, err := apart.Do(ctx, func() (*manifests.Node, error) { return manifests.Load(repository(bomb.files), "sandbox", "node3") }, nil)
			if !errors.Is(err, limits.ErrExceeded) || !strings.Contains(err.Error(), "limits."+bomb.limit+" allows") || !strings.Contains(fault.Hint(err), "agent.yml") {
				t.Errorf("got %v (hint %q), want the limit %s", err, fault.Hint(err), bomb.limit)
			}
		})
	}
}

// TestLongNames loads files whose names are as long as a file, and are used thousands of times: what
// is said of them, and what is kept of them, is bounded.
func TestLongNames(t *testing.T) {
	many := "[" + strings.Repeat("*a, ", 5000) + "*a]"
	freeze := "freeze: [{name: f, schedule: \"0 0 * * 1\", duration: 1h, nodes: " + many + "}]\n"
	for name, test := range map[string]struct {
		bytes      int // of the name of the first node
		keys, want string
	}{
		"a role":              {1, "x: &a y\napproval:\n  roles:\n    ? " + strings.Repeat("x", 300<<10) + "\n    : " + many + "\n", "a key has more than 256 bytes"},
		"nodes":               {300 << 10, "x: &a z\n" + freeze, "lists \"z\""},
		"nodes and one other": {4 << 10, "x: &a z" + strings.Repeat("x", 4<<10) + "\n" + freeze, "lists \"zxxx"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			_, err := apart.Do(ctx, func() (*manifests.Config, error) {
				return loadConfig("sandbox", "environment: {name: sandbox, type: non-production}\nnodes: [{name: a"+strings.Repeat("x", test.bytes)+", stack: s}, {name: node3, stack: s3}]\n"+test.keys)
			}, nil)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %.300v, want %q", err, test.want)
			}
			size := len(err.Error())
			for _, one := range fault.All(err) {
				size += len(fault.Hint(one))
			}
			if size > 16<<20 {
				t.Errorf("the faults have %d bytes", size)
			}
		})
	}
}

// TestManyStars cuts a long value by patterns of which a regular expression would need hours.
func TestManyStars(t *testing.T) {
	long := strings.Repeat("a", 4096)
	lines := "A=" + long + "\n"
	for _, operator := range []string{"#", "##", "%", "%%"} {
		lines += strings.Repeat("B=${A"+operator+strings.Repeat("*", 99)+"b}\n", 200)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	node, err := apart.Do(ctx, func() (*manifests.Node, error) {
		return manifests.Load(repository(map[string]string{"node.env": lines}), "sandbox", "node3")
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := node.Variables["B"].Value; got != long {
		t.Errorf("B has %d letters", len(got))
	}
}

// TestBrackets reads a node.env whose defaults are within each other: by default as deep as 200,
// and as deep as limits.brackets says. limits.nesting is for compose files.
func TestBrackets(t *testing.T) {
	for name, test := range map[string]struct {
		depth, most int
		refused     bool
	}{
		"default":          {depth: 200, most: limits.Default().Brackets},
		"over the default": {depth: 201, most: limits.Default().Brackets, refused: true},
		"raised":           {depth: 201, most: 201},
		"lowered":          {depth: 3, most: 2, refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			most := limits.Default()
			most.Brackets = test.most
			deep := "B=x\nA=" + strings.Repeat("${A:-$B", test.depth) + strings.Repeat("}", test.depth) + "\n"
			node, err := manifests.Load(limits.On(repository(map[string]string{"node.env": deep}), most), "sandbox", "node3")
			if test.refused {
				if want := fmt.Sprintf("is %d: limits.brackets allows %d", test.depth, test.most); err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %q", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := node.Variables["A"].Value; got != strings.Repeat("x", test.depth) {
				t.Errorf("A is %q", got)
			}
		})
	}
}

// TestManyFaults lists a bounded number of faults of a file that has nothing else.
func TestManyFaults(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"config.yml":  {"environments/sandbox/config.yml": "environment: sandbox\nnodes: [{" + strings.Repeat("x: 1, ", 3000) + "}]\n"},
		"project.env": {"project.env": strings.Repeat("a b\n", 900_000)},
		"template":    {"templates/project.env.template": strings.Repeat("{{A}}\n", 100_000)},
	} {
		_, err := manifests.Load(repository(files), "sandbox", "node3")
		if all := len(fault.All(err)); err == nil || all > 10_010 || len(err.Error()) > 2<<20 {
			t.Errorf("%s: %d faults of %d bytes", name, all, len(err.Error()))
		}
	}
}

package compose_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/apart"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/limits"
	"coin.internal/coin-agent/secrets"
)

// bombs are small files that stand for much, by the limit that refuses each.
func bombs() map[string]struct {
	limit string
	files map[string]string
} {
	aliases := "x-0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 9 {
		aliases += fmt.Sprintf("x-%d: &a%[1]d [%s]\n", i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 10), ", "))
	}
	extends, big := "services:\n  s0: &s {image: i, labels: {"+strings.TrimSuffix(numbered(500, "l%d: x, "), ", ")+"}}\n", strings.Repeat("x", 100<<10)
	for i := range 900 {
		extends += fmt.Sprintf("  s%d: {<<: *s, extends: s%d}\n", i+1, i)
	}
	doubling := "A0=" + strings.Repeat("x", 100) + "\n"
	for i := range 40 {
		doubling += fmt.Sprintf("A%d=${A%d}${A%[2]d}\n", i+1, i)
	}
	return map[string]struct {
		limit string
		files map[string]string
	}{
		"12 KB of nested defaults": {"nesting", map[string]string{
			"docker-compose.yml": app + "x-a: \"" + strings.Repeat("${A:-", 2400) + strings.Repeat("}", 2400) + "\"\n",
		}},
		"nested defaults that are not closed": {"nesting", map[string]string{"docker-compose.yml": app + "x-a: \"" + strings.Repeat("${A:-", 100) + "\"\n"}},
		"nested defaults in a key":            {"nesting", map[string]string{"docker-compose.yml": app + "x-a: {\"" + strings.Repeat("${A:-", 100) + "\": 1}\n"}},
		"10,000 variables in a value":         {"variables", map[string]string{"docker-compose.yml": app + "x-a: " + strings.Repeat("${A:-b}", 10_000) + "\n"}},
		"aliases of aliases":                  {"yaml_values", map[string]string{"docker-compose.yml": app + aliases}},
		"services that extend each other":     {"yaml_values", map[string]string{"docker-compose.yml": extends}},
		"depth":                               {"yaml_depth", map[string]string{"docker-compose.yml": app + "x-a: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "\n"}},
		"services":                            {"services", map[string]string{"docker-compose.yml": "services:\n" + numbered(1001, "  s%d: {image: i}\n")}},
		"ports":                               {"ports", map[string]string{"docker-compose.yml": "services:\n  s: {image: i, ports: ['1-65535:1-65535']}\n"}},
		"ports from a variable":               {"ports", map[string]string{"docker-compose.yml": "services:\n  s: {image: i, ports: ['$P:$P']}\n", "node.env": "TAG=1\nP=1-65535\n"}},
		"a large value many times": {"stack_bytes", map[string]string{
			"docker-compose.yml": "services:\n  s:\n    image: i\n    environment:\n" + numbered(400, "      V%d: a$BIG\n"), "node.env": "TAG=1\nBIG=" + big + "\n",
		}},
		"a large value": {"value_bytes", map[string]string{"docker-compose.yml": app + "x-a: " + strings.Repeat("$BIG", 20) + "\n", "node.env": "TAG=1\nBIG=" + big + "\n"}},
		"a large env_file of many services": {"stack_bytes", map[string]string{
			"docker-compose.yml": "services:\n" + numbered(200, "  s%d: {image: i, env_file: big.env}\n"), "big.env": numbered(5, "A%d="+strings.Repeat("x", 60<<10)+"\n"),
		}},
		"a long env_file of many services": {"yaml_values", map[string]string{
			"docker-compose.yml": "services:\n" + numbered(200, "  s%d: {image: i, env_file: big.env}\n"), "big.env": numbered(20_000, "B%d=1234567\n"),
		}},
		"an env_file of an include that doubles": {"value_bytes", map[string]string{"docker-compose.yml": app + "include: [{path: part.yml, env_file: part.env}]\n", "part.yml": "services: {}\n", "part.env": doubling}},
		"a file":                                 {"yaml_bytes", map[string]string{"docker-compose.yml": app + "# " + strings.Repeat("x", 3<<20)}},
		"a very large file":                      {"file_bytes", map[string]string{"docker-compose.yml": app + "# " + strings.Repeat("x", 5<<20)}},
	}
}

func numbered(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// TestBombs renders small files that stand for much. Each is refused at once, with the limit
// and how to raise it, by Render and by Inspect.
func TestBombs(t *testing.T) {
	for name, bomb := range bombs() {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			_, err := apart.Do(ctx, func() (*compose.Stack, error) { return renderFiles(t, bomb.files) }, nil)
			refused(t, err, bomb.limit)
			_, err = apart.Do(ctx, func() (*compose.Stack, error) {
				return compose.Inspect(load(t, repository(bomb.files), "test", "n"), &secrets.Set{}, true)
			}, nil)
			refused(t, err, bomb.limit)
		})
	}
}

func refused(t *testing.T, err error, limit string) {
	t.Helper()
	if !errors.Is(err, limits.ErrExceeded) || !strings.Contains(err.Error(), "limits."+limit+" allows") || !strings.Contains(fault.Hint(err), "raise "+limit+" below `limits:`") {
		t.Errorf("got %v (hint %q), want the limit %s", err, fault.Hint(err), limit)
	}
}

// TestLimitsOfTheNode raises a limit.
func TestLimitsOfTheNode(t *testing.T) {
	files := map[string]string{"docker-compose.yml": "services:\n" + numbered(3, "  s%d: {image: i}\n")}
	bounds := limits.Default()
	bounds.Services = 2
	_, err := render(t, limits.On(repository(files), bounds), "test", "n")
	refused(t, err, "services")
	bounds.Services = 3
	if stack, err := render(t, limits.On(repository(files), bounds), "test", "n"); err != nil || len(stack.Services) != 3 {
		t.Errorf("got %v", err)
	}
}

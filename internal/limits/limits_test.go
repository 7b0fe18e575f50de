package limits_test

import (
	"errors"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/limits"
)

func read(t *testing.T, text string, into *limits.Limits) error {
	t.Helper()
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		t.Fatal(err)
	}
	return limits.Read("agent.yml", document.Content[0], into)
}

func TestRead(t *testing.T) {
	got := limits.Default()
	if err := read(t, "file_bytes: 10MiB\nservices: 7\nrender_time: 2d\n", &got); err != nil {
		t.Fatal(err)
	}
	want := limits.Default()
	want.FileBytes, want.Services, want.RenderTime = 10<<20, 7, 48*time.Hour
	if got != want {
		t.Errorf("got %+v", got)
	}
}

func TestReadRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"file_byte: 1":             `agent.yml:1:1: unknown limit "file_byte"`,
		"file_bytes: 0":            `agent.yml:1:1: limits.file_bytes: "0" is not a size above 0`,
		"file_bytes: -1":           `agent.yml:1:1: limits.file_bytes: "-1" is not a size above 0`,
		"services: none":           `agent.yml:1:1: limits.services: "none" is not a whole number above 0`,
		"render_time: 0s":          `agent.yml:1:1: limits.render_time: "0s" is not a duration of at least 1s`,
		"services: [1]":            "agent.yml:1:1: limits.services does not take a list or a mapping",
		"services: 1\nservices: 2": "agent.yml:2:1: limits.services is set twice",
		"[]":                       "agent.yml:1: limits is not a mapping",
	} {
		bounds := limits.Default()
		if err := read(t, text, &bounds); err == nil || err.Error() != want || fault.Hint(err) == "" {
			t.Errorf("%q: got %v (hint %q)", text, err, fault.Hint(err))
		}
	}
}

// TestSettingsFile compares the limits with those that packaging/agent.yml lists, with their
// defaults.
func TestSettingsFile(t *testing.T) {
	content, err := os.ReadFile("../../packaging/agent.yml")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(content), "\n#limits:\n")
	listed := map[string]string{}
	for _, match := range regexp.MustCompile(`(?m)^#  (\w+): (\S+)`).FindAllStringSubmatch(section, -1) {
		listed[match[1]] = match[2]
	}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[limits.Limits]()) {
		name, value := field.Tag.Get("name"), field.Tag.Get("default")
		if listed[name] != value || field.Tag.Get("help") == "" {
			t.Errorf("packaging/agent.yml lists %s: %q, and its default is %q", name, listed[name], value)
		}
		delete(listed, name)
	}
	for name := range listed {
		t.Errorf("packaging/agent.yml lists %s, which is not a limit", name)
	}
}

// TestShapeOf measures aliases without building what they stand for.
func TestShapeOf(t *testing.T) {
	text := "a0: &a0 [xx, xx]\n"
	for i := range 60 {
		text += strings.NewReplacer("N", string(rune('0'+i%10))+string(rune('a'+i/10)), "P", previous(i)).Replace("aN: &aN [*aP, *aP]\n")
	}
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		t.Fatal(err)
	}
	shape := limits.ShapeOf(document.Content[0])
	if shape.Values < 1<<50 || shape.Bytes < 1<<50 || shape.Depth != 62 {
		t.Errorf("got %+v", shape)
	}
	if _, err := limits.Default().Document("f.yml", document.Content[0]); !errors.Is(err, limits.ErrExceeded) {
		t.Errorf("got %v", err)
	}
	var circle yaml.Node
	if err := yaml.Unmarshal([]byte("&a [*a, x]"), &circle); err != nil {
		t.Fatal(err)
	}
	if shape := limits.ShapeOf(circle.Content[0]); shape.Values > 10 {
		t.Errorf("a circle has %+v", shape)
	}
}

func previous(i int) string {
	if i == 0 {
		return "0"
	}
	return string(rune('0'+(i-1)%10)) + string(rune('a'+(i-1)/10))
}

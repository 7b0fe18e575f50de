package compose

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/docker/docker/api/types/swarm"
	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/internal/visible"
)

// objectSpec is a secret or config in the output of `agent render -o specs`.
type objectSpec struct {
	Name       string            `json:"name"`
	Labels     map[string]string `json:"labels"`
	Data       *[]byte           `json:"data,omitempty"` // of a config
	Driver     *swarm.Driver     `json:"driver,omitempty"`
	Templating *swarm.Driver     `json:"templating,omitempty"`
}

// Specs returns the stack as one JSON object with sorted keys, in the form of the
// Engine API. It contains no secret values. It contains config contents in base64.
func (s *Stack) Specs() ([]byte, error) {
	secrets, configs := []objectSpec{}, []objectSpec{}
	for _, secret := range s.Secrets {
		spec := secret.Spec
		secrets = append(secrets, objectSpec{Name: spec.Name, Labels: spec.Labels, Driver: spec.Driver, Templating: spec.Templating})
	}
	for _, config := range s.Configs {
		spec := config.Spec
		configs = append(configs, objectSpec{Name: spec.Name, Labels: spec.Labels, Data: &spec.Data, Templating: spec.Templating})
	}
	return sortedJSON(map[string]any{
		"stack": s.Name, "networks": s.Networks, "secrets": secrets, "configs": configs, "services": s.Services,
	})
}

// sortedJSON marshals with the keys of every object sorted.
func sortedJSON(value any) ([]byte, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("marshal specs: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var plain any
	if err := decoder.Decode(&plain); err != nil {
		return nil, fmt.Errorf("sort specs: %w", err)
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(plain); err != nil {
		return nil, fmt.Errorf("marshal specs: %w", err)
	}
	return out.Bytes(), nil
}

// YAML returns the merged and interpolated compose files as one file. It contains no
// secret values.
func (s *Stack) YAML() ([]byte, error) {
	text, err := yamlOf(s.merged)
	if err != nil || visibleLines(text) == text {
		return []byte(text), err
	}
	// A double-quoted scalar has the escapes that make its characters visible.
	var root yaml.Node
	if err := root.Encode(s.merged); err != nil {
		return nil, fmt.Errorf("marshal compose file: %w", err)
	}
	quoteHidden(&root)
	text, err = yamlOf(&root)
	return []byte(visibleLines(text)), err
}

func yamlOf(value any) (string, error) {
	var out strings.Builder
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(value); err != nil {
		return "", fmt.Errorf("marshal compose file: %w", err)
	}
	return out.String(), nil
}

// quoteHidden puts the scalars into double quotes that have characters to make visible.
func quoteHidden(node *yaml.Node) {
	if node.Kind == yaml.ScalarNode && visibleLines(node.Value) != node.Value {
		node.Style = yaml.DoubleQuotedStyle
	}
	for _, child := range node.Content {
		quoteHidden(child)
	}
}

// visibleLines makes each line of a text visible.
func visibleLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = visible.Line(line)
	}
	return strings.Join(lines, "\n")
}

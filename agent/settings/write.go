package settings

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// YAML gives the settings that are not the defaults, as agent.yml has them, in the order of their
// declaration, with the policy at the end. It refuses settings with api_tokens or limits, which
// it would lose.
func (s *Settings) YAML() (string, error) {
	standard := Default()
	if len(s.APITokens) > 0 || s.Limits.OrDefault() != standard.Limits.OrDefault() {
		return "", fmt.Errorf("write settings: api_tokens and limits are kept by hand")
	}
	var document yaml.Node
	document.Kind = yaml.MappingNode
	defaults := standard.Fields()
	for i, field := range s.Fields() {
		if reflect.DeepEqual(field.value.Interface(), defaults[i].value.Interface()) {
			continue
		}
		var value yaml.Node
		var plain any = field.Default()
		if field.value.Kind() == reflect.Slice || field.value.Kind() == reflect.Bool {
			plain = field.value.Interface()
		}
		if err := value.Encode(plain); err != nil {
			return "", fmt.Errorf("write the setting %s: %w", field.Name, err)
		}
		document.Content = append(document.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: field.Name}, &value)
	}
	var text bytes.Buffer
	if len(document.Content) > 0 {
		encoder := yaml.NewEncoder(&text)
		encoder.SetIndent(2)
		if err := errors.Join(encoder.Encode(&document), encoder.Close()); err != nil {
			return "", fmt.Errorf("write settings: %w", err)
		}
	}
	if s.Policy == nil {
		return text.String(), nil
	}
	rules, err := s.Policy.YAML()
	return strings.TrimSuffix(text.String(), "\n") + "\n" + rules, err
}

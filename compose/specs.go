package compose

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"
	"go.yaml.in/yaml/v3"
)

// specs is the output of `agent render -o specs`.
type specs struct {
	Stack    string                           `json:"stack"`
	Networks map[string]network.CreateOptions `json:"networks"`
	Secrets  []objectSpec                     `json:"secrets"`
	Configs  []configSpec                     `json:"configs"`
	Services map[string]swarm.ServiceSpec     `json:"services"`
}

type objectSpec struct {
	Name       string            `json:"name"`
	Labels     map[string]string `json:"labels"`
	Driver     *swarm.Driver     `json:"driver,omitempty"`
	Templating *swarm.Driver     `json:"templating,omitempty"`
}

type configSpec struct {
	Name       string            `json:"name"`
	Labels     map[string]string `json:"labels"`
	Data       []byte            `json:"data"`
	Templating *swarm.Driver     `json:"templating,omitempty"`
}

// Specs returns the stack as one JSON object with sorted keys, in the form of the
// Engine API. It contains no secret values. It contains config contents in base64.
func (s *Stack) Specs() ([]byte, error) {
	out := specs{Stack: s.Name, Networks: s.Networks, Services: s.Services, Secrets: []objectSpec{}, Configs: []configSpec{}}
	for _, secret := range s.Secrets {
		out.Secrets = append(out.Secrets, objectSpec{
			Name: secret.Spec.Name, Labels: secret.Spec.Labels,
			Driver: secret.Spec.Driver, Templating: secret.Spec.Templating,
		})
	}
	for _, config := range s.Configs {
		out.Configs = append(out.Configs, configSpec{
			Name: config.Spec.Name, Labels: config.Spec.Labels,
			Data: config.Spec.Data, Templating: config.Spec.Templating,
		})
	}
	return sortedJSON(out)
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
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(s.merged); err != nil {
		return nil, fmt.Errorf("marshal compose file: %w", err)
	}
	return out.Bytes(), nil
}

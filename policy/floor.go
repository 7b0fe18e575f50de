package policy

import (
	"encoding/json"

	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
)

// Floor are the gates that no commit can lift. It is written as it was read.
type Floor struct {
	gates *manifests.Config
	keys  map[string]any
}

// readFloor reads the gates that no commit can lift.
func readFloor(p *Policy, file string, value *yaml.Node) error {
	floor := &Floor{}
	var err error
	if floor.gates, err = manifests.ReadFloor(file, value); err != nil {
		return err
	}
	if err := value.Decode(&floor.keys); err != nil {
		return fault.New(placeIn(file, value), "write it as config.yml has it", "policy.floor: %w", err)
	}
	p.Floor = floor
	return nil
}

// Gates gives the floor of a policy as a config.yml; nil for none.
func (p *Policy) Gates() *manifests.Config {
	if p == nil || p.Floor == nil {
		return nil
	}
	return p.Floor.gates
}

// MarshalYAML gives the keys.
func (f *Floor) MarshalYAML() (any, error) { return f.keys, nil }

// MarshalJSON gives the keys.
func (f *Floor) MarshalJSON() ([]byte, error) { return json.Marshal(f.keys) }

// UnmarshalJSON reads the keys, to be shown: only a file has gates.
func (f *Floor) UnmarshalJSON(data []byte) error { return json.Unmarshal(data, &f.keys) }

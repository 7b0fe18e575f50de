package policy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
)

// Digest names the rules of a policy, whatever file they are from; "none" without a policy.
func (p *Policy) Digest() string {
	if p == nil {
		return "none"
	}
	sum := sha256.New()
	rules := p.rules()
	for _, name := range slices.Sorted(maps.Keys(rules)) {
		_, _ = sum.Write(append(append([]byte(name+" "), rules[name]...), '\n')) // a hash takes everything
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// Changed lists the rules that differ between two policies, sorted.
func Changed(before, after *Policy) []string {
	one, other := before.rules(), after.rules()
	names := map[string]bool{}
	for _, name := range slices.Concat(slices.Collect(maps.Keys(one)), slices.Collect(maps.Keys(other))) {
		if !bytes.Equal(one[name], other[name]) {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// rules gives each rule that is set as JSON, by its key in agent.yml.
func (p *Policy) rules() map[string]json.RawMessage {
	if p == nil {
		return nil
	}
	rules := map[string]json.RawMessage{}
	data, err := json.Marshal(p)
	if err == nil {
		err = json.Unmarshal(data, &rules)
	}
	if err != nil {
		panic("policy: rules that were read cannot be written") // a test writes them all
	}
	return rules
}

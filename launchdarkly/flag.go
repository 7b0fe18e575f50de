package launchdarkly

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Flag is a feature flag in one environment.
type Flag struct {
	Key     string
	On      bool   // what everyone gets
	Refused string // why there is not one value for everyone; "" if there is
}

// item is a flag as the API lists it.
type item struct {
	Key          string `json:"key"`
	Kind         string `json:"kind"`
	Archived     bool   `json:"archived"`
	Variations   []struct{ Value json.RawMessage }
	Environments map[string]config `json:"environments"`
}

// config is a flag in one environment.
type config struct {
	On             *bool             `json:"on"`
	Targets        []json.RawMessage `json:"targets"`
	ContextTargets []json.RawMessage `json:"contextTargets"`
	Rules          []json.RawMessage `json:"rules"`
	Prerequisites  []struct{ Key string }
	Fallthrough    *struct {
		Variation *int     `json:"variation"`
		Rollout   *rollout `json:"rollout"`
	} `json:"fallthrough"`
	OffVariation *int `json:"offVariation"`
}

// rollout gives each variation a part of the users, in thousandths of a percent.
type rollout struct {
	Variations []struct {
		Variation int `json:"variation"`
		Weight    int `json:"weight"`
	} `json:"variations"`
}

// whole is the weight of all users.
const whole = 100_000

// flag gives the value of a flag in an environment.
func (i item) flag(environment string) (Flag, error) {
	flag := Flag{Key: i.Key}
	at, known := i.Environments[environment]
	if i.Key == "" || !known || at.On == nil {
		return flag, fmt.Errorf("the flag %q has no configuration of the environment %s", i.Key, environment)
	}
	if i.Kind != "boolean" {
		flag.Refused = "it is not a boolean flag, but " + i.Kind
		return flag, nil
	}
	variation, refused := at.serves(i)
	if flag.Refused = refused; refused != "" {
		return flag, nil
	}
	if variation < 0 || variation >= len(i.Variations) {
		return flag, fmt.Errorf("the flag %q has no variation %d", i.Key, variation)
	}
	switch value := bytes.TrimSpace(i.Variations[variation].Value); string(value) {
	case "true", "false":
		flag.On = string(value) == "true"
	default:
		return flag, fmt.Errorf("the variation %d of the boolean flag %q is neither true nor false", variation, i.Key)
	}
	return flag, nil
}

// serves gives the variation that everyone gets, or why there is none.
func (c config) serves(of item) (variation int, refused string) {
	if !*c.On {
		if c.OffVariation == nil {
			return 0, "it is off, and has no variation for that: each application takes its own default"
		}
		return *c.OffVariation, ""
	}
	switch {
	case len(c.Prerequisites) > 0:
		return 0, "it depends on the flag " + c.Prerequisites[0].Key
	case len(c.Targets) > 0 || len(c.ContextTargets) > 0:
		return 0, "it has targets: some users get another value"
	case len(c.Rules) > 0:
		return 0, "it has rules: some users get another value"
	case c.Fallthrough == nil || c.Fallthrough.Variation == nil && c.Fallthrough.Rollout == nil:
		return 0, "it has no default rule"
	case c.Fallthrough.Rollout == nil:
		return *c.Fallthrough.Variation, ""
	}
	var parts []string
	for _, one := range c.Fallthrough.Rollout.Variations {
		if one.Weight == whole {
			return one.Variation, ""
		}
		value := "?"
		if one.Variation >= 0 && one.Variation < len(of.Variations) {
			value = string(of.Variations[one.Variation].Value)
		}
		parts = append(parts, fmt.Sprintf("%g%% %s", float64(one.Weight)/1000, value))
	}
	return 0, "it is a percentage rollout (" + strings.Join(parts, ", ") + "), and a variable has one value"
}

package drift

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/agent/record"
)

// Same reports whether services are those that a good state has on record. It encodes them only up to
// the first one that differs.
func Same(good *record.GoodState, services map[string]swarm.ServiceSpec) (bool, error) {
	rest, before := []byte(good.Services), "{"
	for _, name := range slices.Sorted(maps.Keys(services)) {
		one, err := json.Marshal(map[string]swarm.ServiceSpec{name: services[name]})
		if err != nil {
			return false, fmt.Errorf("compare with what was applied: %w", err)
		}
		left, same := bytes.CutPrefix(rest, append([]byte(before), one[1:len(one)-1]...))
		if !same {
			return false, nil
		}
		rest, before = left, ","
	}
	if len(services) == 0 {
		return len(rest) == 0 || string(rest) == "{}" || string(rest) == "null", nil
	}
	return string(rest) == "}", nil
}

package rollout

import (
	"io/fs"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/limits"
	"coin.internal/coin-agent/manifests"
)

// Recorded gives the files of good states, with the node's limits: they were read with those.
type Recorded struct {
	Store  Files
	Limits limits.Limits
}

// Files gives the files that a good state was made of; nil if they are not on record.
func (r Recorded) Files(good *record.GoodState) (fs.FS, error) {
	files, err := r.Store.Files(good)
	if err != nil || files == nil {
		return nil, err
	}
	return limits.On(files, r.Limits.OrDefault()), nil
}

// Unawaited reports whether no other node waits for this one, as the config.yml of a good state
// has it; false if that is not known.
func (r Recorded) Unawaited(good *record.GoodState, environment, node string) bool {
	if good == nil {
		return false
	}
	files, err := r.Files(good)
	if err != nil || files == nil {
		return false
	}
	config, err := manifests.RecallConfig(files, environment)
	return err == nil && !config.Awaits(node)
}

package agent

import (
	"coin.internal/coin-agent/manifests"
)

// spares reports whether a commit that changes nothing which this node reads gets no status of it:
// the settings say so, and no other node waits for this one, as the deployed config.yml has it.
func (s *stack) spares() bool {
	good := s.board.Snapshot().Deployed
	if s.parts.Settings.UnchangedStatuses || good == nil {
		return false
	}
	files, err := recorded{s.parts.Store, s.parts.Settings.Limits}.Files(good)
	if err != nil || files == nil {
		return false
	}
	config, err := manifests.RecallConfig(files, s.node.Environment)
	return err == nil && !config.Awaits(s.node.Node)
}

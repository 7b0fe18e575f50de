package rollout

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"

	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

// running gives the versions of secrets with SV_x=auto in a preview. The author of a branch
// could choose the key that a version is derived with, or add a guess of a value: the version
// of the real content would then tell them whether the guess is right. So it is the version
// that runs if the node's secret files are those of what runs, and else unknownAuto.
type running struct{ good *record.GoodState }

const unknownAuto = "auto"

type renderer = func(*manifests.Node, *secrets.Set, compose.Options) (*compose.Stack, error)

func (r running) render(next renderer) renderer {
	if next == nil {
		next = compose.Render
	}
	return func(node *manifests.Node, set *secrets.Set, options compose.Options) (*compose.Stack, error) {
		options.Auto = r.version
		if !r.same(node) {
			options.Auto = func(string, string) string { return unknownAuto }
		}
		return next(node, set, options)
	}
}

// same reports whether the node's secret files are those of what runs.
func (r running) same(node *manifests.Node) bool {
	if r.good == nil {
		return false
	}
	files, err := desired.ReadSecretFiles(node)
	if err != nil {
		return false
	}
	for _, file := range files {
		sum := sha256.Sum256(file.Data)
		if r.good.Files[file.Path].Sum != hex.EncodeToString(sum[:]) {
			return false
		}
	}
	return true
}

var derivedForm = regexp.MustCompile(`^[0-9a-f]{12}$`)

// version gives the version in the only name of a running secret that has one between these
// texts.
func (r running) version(before, after string) string {
	found := ""
	for _, secret := range r.good.Secrets {
		rest, begins := strings.CutPrefix(secret.Name, before)
		version, ends := strings.CutSuffix(rest, after)
		if !begins || !ends || !derivedForm.MatchString(version) {
			continue
		}
		if found != "" {
			return unknownAuto
		}
		found = version
	}
	if found == "" {
		return unknownAuto
	}
	return found
}

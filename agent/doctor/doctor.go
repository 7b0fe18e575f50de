// Package doctor probes every dependency of an agent, and gives for each a finding with its
// remedy. It changes nothing.
package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/anchor"
	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/notify"
	"coin.internal/coin-agent/agent/settings"
	"coin.internal/coin-agent/agent/signing"
	"coin.internal/coin-agent/agent/store"
	"coin.internal/coin-agent/agent/tokens"
	"coin.internal/coin-agent/checks"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/limits"
	"coin.internal/coin-agent/internal/plural"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
	gitsync "coin.internal/coin-agent/sync"
)

// probeLimit bounds each probe of the doctor.
const probeLimit = 20 * time.Second

// Grade says how a probe went.
type Grade string

// The grades.
const (
	Good     Grade = "ok  "
	Doubtful Grade = "warn"
	Bad      Grade = "FAIL"
)

// Finding is what one probe of the doctor found.
type Finding struct {
	Subject string `json:"subject"`
	Grade   Grade  `json:"grade"`
	Text    string `json:"text"`
	Hint    string `json:"hint,omitempty"`

	Code fault.Code `json:"code,omitempty"` // the class of the error
}

// MarshalText gives the grade without its padding.
func (g Grade) MarshalText() ([]byte, error) {
	return []byte(strings.ToLower(strings.TrimSpace(string(g)))), nil
}

// doctor probes the agent's dependencies; a later probe uses the results of an earlier
// one.
type doctor struct {
	on       Dependencies
	findings []Finding

	engine   *deploy.Engine
	checkout *gitsync.Checkout
	node     *manifests.Node                          // nil if it cannot be read
	files    func(name string) (checks.Secret, error) // of check_dir, for that node
	opened   *desired.State                           // nil if the node's secrets cannot be decrypted; closed says why
	others   []desired.Rendered                       // the earlier stacks of a node with several
	closed   error
	stack    *compose.Stack
}

// Dependencies are what the doctor examines. The functions make each dependency when
// it is probed.
type Dependencies struct {
	Settings   *settings.Settings
	Keys       func() (*secrets.Keyring, error) // nil: no keys are set
	Vault      desired.Vault                    // where references to Vault are read
	Engine     func() (*deploy.Engine, error)
	GitLab     func() (*gitlab.Client, error) // nil: no GitLab is set
	Tokens     func(*gitlab.Client) ([]tokens.Use, error)
	Issue      func() (*anchor.Issue, error) // nil: no issue for the audit log is set
	MailServer func() (*notify.SMTP, error)  // nil: no mail server is set

	// Follows gives the revision that the node follows now.
	Follows func(ctx context.Context, source *gitsync.Repository) (gitsync.Revision, error)
}

// Examine probes every dependency of the agent: settings, keys, disk, engine, Swarm role,
// who may sign, git remote, GitLab token, manifests, policy, registries, images and their signatures, the database's migrations, the
// receivers of notices, the places of the audit log's heads, who may read the metrics, and the API. It changes nothing.
func Examine(ctx context.Context, on Dependencies) []Finding {
	d := &doctor{on: on}
	probes := []struct {
		subject string
		probe   func(context.Context) (string, error)
	}{
		{"settings", d.checkSettings},
		{"state", d.checkState},
		{"socket", d.checkSocket},
		{"keys", d.checkKeys},
		{"vault", d.checkVault},
		{"engine", d.checkEngine},
		{"swarm", d.checkSwarm},
		{"signers", d.checkSigners},
		{"git", d.checkGit},
		{"gitlab", d.checkGitLab},
		{"plans", d.checkPlans},
		{"manifests", d.checkManifests},
		{"policy", d.checkPolicy},
		{"releases", d.checkReleases},
		{"registries", d.checkRegistries},
		{"images", d.checkImages},
		{"signatures", d.checkSignatures},
		{"disk", d.checkDisk},
		{"harbor", d.checkHarbor},
		{"database", d.checkDatabase},
		{"migrations", d.checkMigrations},
		{"notices", d.checkNotices},
		{"audit", d.checkAnchors},
		{"metrics", d.checkMetrics},
		{"api", d.checkAPI},
	}
	for _, p := range probes {
		limited, cancel := context.WithTimeout(ctx, probeLimit)
		text, err := p.probe(limited)
		cancel()
		if text != "" || err != nil {
			addFinding(d, p.subject, text, err)
		}
	}
	d.opened.Wipe()
	for _, one := range d.others {
		one.State.Wipe()
	}
	if d.engine != nil {
		_ = d.engine.Close()
	}
	return d.findings
}

// checkState reads the state folder.
func (d *doctor) checkState(context.Context) (string, error) {
	return store.Examine(d.on.Settings.StateDir, d.on.Settings.Owner())
}

// doubt is a finding that needs a look but does not stop a rollout.
type doubt struct{ err error }

func (d doubt) Error() string { return d.err.Error() }
func (d doubt) Unwrap() error { return d.err }

func addFinding(d *doctor, subject, text string, err error) {
	if err == nil {
		d.findings = append(d.findings, Finding{Subject: subject, Grade: Good, Text: text})
		return
	}
	for _, one := range fault.All(err) {
		grade := Bad
		if _, ok := errors.AsType[doubt](one); ok {
			grade = Doubtful
		}
		d.findings = append(d.findings, Finding{Subject: subject, Grade: grade, Text: one.Error(), Hint: fault.Hint(one), Code: cmp.Or(fault.CodeOf(one), fault.CodeOther)})
	}
}

func (d *doctor) checkSettings(context.Context) (string, error) {
	return "node " + d.on.Settings.Owner(), d.on.Settings.Validate()
}

func (d *doctor) checkKeys(context.Context) (string, error) {
	keys, err := d.on.Keys()
	if err != nil {
		return "", err
	}
	if keys == nil {
		return "", doubt{fault.WithHint(errors.New("no keys are set: encrypted secrets cannot be decrypted"), "set age_key_files, pgp_key_files or gnupg_home")}
	}
	return keys.String(), nil
}

func (d *doctor) checkEngine(ctx context.Context) (string, error) {
	engine, err := d.on.Engine()
	if err != nil {
		return "", err
	}
	info, err := engine.Info(ctx)
	if err != nil {
		return "", errors.Join(err, engine.Close())
	}
	d.engine = engine
	return fmt.Sprintf("Docker %s, API %s, at %s", info.EngineVersion, info.APIVersion, d.on.Settings.Engine), nil
}

// errSkipped says that a probe needs another one that failed.
func errSkipped(needs string) error {
	return doubt{fmt.Errorf("not looked at: it needs %s", needs)}
}

func (d *doctor) checkSwarm(ctx context.Context) (string, error) {
	if d.engine == nil {
		return "", errSkipped("the engine")
	}
	info, err := d.engine.Ready(ctx)
	return fmt.Sprintf("a manager of a Swarm of %s", plural.Count(info.Nodes, "node")), err
}

func (d *doctor) checkGit(ctx context.Context) (string, error) {
	source, err := gitsync.Open(d.on.Settings.Remote())
	if err != nil {
		return "", err
	}
	revision, err := d.on.Follows(ctx, source)
	if err != nil {
		return "", err
	}
	signer, err := signing.New(d.on.Settings.Policy.Demands, source).Check(ctx, revision)
	if err != nil {
		return "", err
	}
	if signer != "" {
		signer = ", signed by " + signer
	}
	// Files are read from the checkout in later probes; the connection has limits of its own.
	d.checkout, err = source.Fetch(context.WithoutCancel(ctx), revision, d.on.Settings.Paths())
	return fmt.Sprintf("%s is at %s%s", revision.Ref, revision.Commit[:min(10, len(revision.Commit))], signer), err
}

func (d *doctor) checkManifests(ctx context.Context) (string, error) {
	if d.checkout == nil {
		return "", errSkipped("git")
	}
	on := d.on.Settings
	options := desired.Options{
		Environment: on.Environment, Node: on.Node, Keys: d.on.Keys, CheckDir: on.CheckDir, Bounds: desired.Bounds{Policy: on.Policy}, Vault: d.on.Vault,
		Judges: &manifests.Judges{Floor: on.Policy.Gates(), Node: on.Node, At: time.Now()}, Limits: on.Limits,
	}
	if config, err := manifests.LoadConfig(limits.On(d.checkout.FS, on.Limits.OrDefault()), on.Environment); err == nil && config.Layered(on.Node) {
		return checkStacks(ctx, d, options)
	}
	state, err := desired.Load(ctx, d.checkout.FS, options)
	if err == nil {
		d.node, d.files = state.Node, state.CheckFile
	}
	if _, keysErr := d.on.Keys(); keysErr != nil {
		d.closed = errSkipped("keys")
		return "", d.closed
	}
	d.closed = errSkipped("the manifests")
	if err != nil {
		return "", err
	}
	if err := state.Decrypt(ctx); err != nil {
		return "", err
	}
	d.opened = state
	if d.stack, err = state.Render(ctx); err != nil {
		return "", err
	}
	if err := state.Bounded(); err != nil {
		return "", err
	}
	return fmt.Sprintf("stack %s: %s, %s", d.stack.Name, plural.Count(len(d.stack.Services), "service"), plural.Count(len(d.stack.Secrets), "secret")), nil
}

// checkReleases doubts a production node that follows a branch: each merge is a rollout. It
// has nothing to say of other nodes.
func (d *doctor) checkReleases(context.Context) (string, error) {
	rule := d.on.Settings.Rule()
	switch {
	case d.node == nil:
		return "", errSkipped("git")
	case rule.TagPattern != "":
		return "follows the tags that match " + rule.TagPattern, nil
	case d.node.Config.Environment.Type != manifests.Production:
		return "follows the branch " + rule.Branch, nil
	}
	return "", doubt{fault.New(fault.Place{}, `set tag_pattern, such as ^\d{4}-\d{2}-\d{2}-[a-f0-9]{10}$`,
		"this production node follows the branch %s: each merge is rolled out", rule.Branch)}
}

// imagesOf lists the images of a stack's services, sorted.
func imagesOf(stack *compose.Stack) []string {
	images := make([]string, 0, len(stack.Services))
	for _, spec := range stack.Services {
		images = append(images, spec.TaskTemplate.ContainerSpec.Image)
	}
	slices.Sort(images)
	return images
}

// checkRegistries asks the images' registries, with the node's logins. A service whose
// image is on its node runs without the registry: an error only needs a look.
func (d *doctor) checkRegistries(ctx context.Context) (string, error) {
	if d.engine == nil || d.stack == nil {
		return "", errSkipped("the engine and the manifests")
	}
	registries, err := d.engine.Registries(ctx, imagesOf(d.stack))
	if err != nil {
		return "", err
	}
	var good []string
	var faults []error
	for _, one := range registries {
		switch {
		case one.Problem != "":
			faults = append(faults, doubt{fault.WithHint(errors.New(one.Problem), one.Remedy)})
		case one.Login:
			good = append(good, one.Registry+" (logged in)")
		default:
			good = append(good, one.Registry+" (without a login)")
		}
	}
	return strings.Join(good, ", "), errors.Join(faults...)
}

func (d *doctor) checkImages(ctx context.Context) (string, error) {
	if d.engine == nil || d.stack == nil {
		return "", errSkipped("the engine and the manifests")
	}
	images := imagesOf(d.stack)
	missing, err := deploy.MissingImages(ctx, d.engine, images)
	if err != nil {
		return "", err
	}
	if len(missing) > 0 {
		return "", fault.WithHint(fmt.Errorf("neither on the node nor in its registry: %s", strings.Join(missing, ", ")), "check TAG, push the images, or see that the node can log in to the registry")
	}
	return fmt.Sprintf("all %d are there", len(images)), nil
}

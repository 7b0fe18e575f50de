package deploy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/client"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/lazyregexp"
)

// ErrUnavailable is the cause of errors about an engine that does not answer, that the
// agent is not allowed to use, or that is not a manager. The same call may succeed later.
var ErrUnavailable = errors.New("the engine cannot be used")

// Unusable is why an engine cannot be used, in a few words. Each reason has its own remedy.
// Errors of that kind have it and ErrUnavailable in their trees.
type Unusable string

// The reasons.
const (
	Hangs     Unusable = "the engine does not answer"   // it takes calls
	Down      Unusable = "the engine cannot be reached" // it takes no calls
	Forbidden Unusable = "the engine cannot be used: no permission"
	NoSwarm   Unusable = "the engine is not part of a Swarm"
	NoManager Unusable = "the engine is not a Swarm manager" // a worker, such as a demoted manager
	NoQuorum  Unusable = "the Swarm has lost its quorum"
	Locked    Unusable = "the Swarm is locked"
	Disagree  Unusable = "the managers of the Swarm do not agree"
)

func (u Unusable) Error() string { return string(u) }

// FaultCode gives the class of errors that have it in their trees.
func (Unusable) FaultCode() fault.Code { return fault.CodeEngine }

// Is reports whether target is ErrUnavailable.
func (u Unusable) Is(target error) bool { return target == ErrUnavailable }

// WhyUnusable gives the reason for which an error says that the engine cannot be used; ""
// for every other error.
func WhyUnusable(err error) Unusable {
	var why Unusable
	errors.As(err, &why)
	return why
}

// address is where the engine is. Errors name it.
type address string

// unusable gives the fault for an engine that cannot be used, with the remedy.
func (a address) unusable(why Unusable, cause error) error {
	text, hint := "", ""
	switch why {
	case Hangs:
		text = "the engine at %s did not answer in time"
		hint = "find out what blocks it: `journalctl -u docker`; if it stays so, `systemctl restart docker`"
	case Down:
		text, hint = "the engine at %s does not answer", "start the engine (`systemctl start docker`), or correct its address"
	case Forbidden:
		text, hint = "no permission to use the engine at %s", "run the agent as root or as a member of the group that owns the socket (docker)"
	case NoSwarm:
		text, hint = "the engine at %s is not part of a Swarm", "run `docker swarm init` on it, or point the agent at a manager"
	case NoManager:
		text = "the engine at %s is not a Swarm manager"
		hint = "promote its node, on a manager: `docker node promote NODE`; or run the agent on a manager"
	case NoQuorum:
		text = "the Swarm of the engine at %s has lost its quorum: too few managers are online"
		hint = "start the other managers again; if they are lost for good, `docker swarm init --force-new-cluster` on this one"
	case Locked:
		text, hint = "the Swarm of the engine at %s is locked", "unlock it: `docker swarm unlock`"
	case Disagree:
		text, hint = "the managers of the Swarm of the engine at %s did not agree in time", "find out which manager is slow or away: `docker node ls`, `journalctl -u docker`"
	}
	return &fault.Error{Message: fmt.Sprintf(text, a), Hint: hint, Err: errors.Join(why, cause)}
}

// explain turns an error of the engine's client into a fault with a remedy. For nil it
// gives nil.
func (a address) explain(doing string, err error) error {
	if err == nil {
		return nil
	}
	why := reason(err)
	if why == "" {
		return fmt.Errorf("%s: %w", doing, err)
	}
	explained := a.unusable(why, err)
	if why == NoSwarm || why == NoManager || why == NoQuorum || why == Locked {
		return explained // whatever it was asked for
	}
	return fault.WithHint(fmt.Errorf("%s: %w", doing, explained), fault.Hint(explained))
}

// reason gives why an error of the engine's client says that the engine cannot be used; ""
// for every other error. The texts are those of moby v20.10 to v28.5 (daemon/cluster/cluster.go,
// errNoManager, and errors.go) and of swarmkit (manager/state/raft).
func reason(err error) Unusable {
	text := err.Error()
	says := func(texts ...string) bool {
		for _, one := range texts {
			if strings.Contains(text, one) {
				return true
			}
		}
		return false
	}
	switch {
	case says("This node is not part of a swarm", `Use "docker swarm init"`):
		return NoSwarm
	case says("The swarm does not have a leader", "Manager is being prepared or has trouble connecting"):
		return NoQuorum
	case says("not a swarm manager"):
		return NoManager
	case says("Swarm is encrypted and needs to be unlocked"):
		return Locked
	case errors.Is(err, os.ErrPermission), says("permission denied while trying to connect"):
		return Forbidden
	case errors.Is(err, context.DeadlineExceeded):
		return Hangs
	case client.IsErrConnectionFailed(err), cutOff(err):
		return Down
	case busy().MatchString(text):
		return Disagree
	}
	return ""
}

// cutOff tells whether the engine ended in the middle of its answer, or a proxy answered for an engine
// that is away.
func cutOff(err error) bool {
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errdefs.IsUnavailable(err) || gateway().MatchString(err.Error())
}

// gateway matches the page of a proxy that gets no answer.
var gateway = lazyregexp.New(`\b50[24] (Bad Gateway|Gateway Time-?out)`)

// busy matches the errors of managers that did not process a call. Such an error is not
// a refusal.
var busy = lazyregexp.New(`code = (DeadlineExceeded|Unavailable|Canceled|Aborted)|los(ing|t) leader status|raft: stopped`)

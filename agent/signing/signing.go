// Package signing stops revisions that nobody signed who may. It takes a revision and the
// node's policy.signers, and gives the signer, or a Refused error. It guarantees that
// nothing but the signed objects of a refused revision is read: no folder, no file.
package signing

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/policy"
	"coin.internal/coin-agent/signers"
	gitsync "coin.internal/coin-agent/sync"
)

// Refused is the reason why a revision is not read. The same revision is refused until a
// user changes its tag, or the keys of those who may sign.
type Refused struct{ err error }

// RefuseUnproven ends a sync that was interrupted, and whose tag is gone: its signature is not
// kept, and no later look can read it.
func RefuseUnproven(revision gitsync.Revision) *Refused {
	return &Refused{fault.New(fault.Place{}, "push the signed tag again, then run `agent retry`; or roll back: `agent rollback`",
		"tag %s was deleted or moved before its rollout ended, so its signature cannot be verified again", revision.Ref)}
}

func (r *Refused) Error() string { return r.err.Error() }
func (r *Refused) Unwrap() error { return r.err }

// proofs gives the signed objects of a revision.
type proofs interface {
	Proof(ctx context.Context, revision gitsync.Revision) (gitsync.Proof, error)
}

// Gate demands signatures. It is safe for concurrent use.
type Gate struct {
	demand func() *policy.Signers // nil: no signature is demanded
	from   any

	mu    sync.Mutex
	last  gitsync.Revision // that was accepted last
	proof gitsync.Proof    // of it
}

// New makes a gate in front of a repository. demand is asked for each revision. A repository
// that cannot prove a revision has none accepted.
func New(demand func() *policy.Signers, repository any) *Gate {
	return &Gate{demand: demand, from: repository}
}

// Demands reports whether signatures are demanded.
func (g *Gate) Demands() bool { return g.demand() != nil }

// Check gives who signed a revision; "" if no signature is demanded. A *Refused is about the
// revision. Another error is about the keys, or the remote, and may pass.
func (g *Gate) Check(ctx context.Context, revision gitsync.Revision) (who string, err error) {
	demand := g.demand()
	if demand == nil {
		return "", nil
	}
	ring, err := signers.Load(signers.Files{OpenPGP: demand.OpenPGP, SSH: demand.SSH})
	if err != nil {
		return "", err
	}
	proof, err := g.prove(ctx, revision)
	switch {
	case errors.Is(err, gitsync.ErrRenamed):
		return "", &Refused{err}
	case err != nil:
		return "", err
	}
	if who, err = verify(ring, revision, proof, time.Now()); err != nil {
		return "", &Refused{err}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.last, g.proof = named(revision), proof
	return who, nil
}

// prove reads the signed objects of a revision, unless that was accepted last. A refused one
// is read again: its tag may have been made anew.
func (g *Gate) prove(ctx context.Context, revision gitsync.Revision) (gitsync.Proof, error) {
	g.mu.Lock()
	last, proof := g.last, g.proof
	g.mu.Unlock()
	if last == named(revision) {
		return proof, nil
	}
	from, ok := g.from.(proofs)
	if !ok {
		return gitsync.Proof{}, errors.New("the repository cannot show signatures")
	}
	return from.Proof(ctx, revision)
}

// named gives a revision without what only a fetch reads.
func named(revision gitsync.Revision) gitsync.Revision {
	return gitsync.Revision{Commit: revision.Commit, Ref: revision.Ref, Tag: revision.Tag}
}

// verify gives who signed the commit and, for a tag, the tag.
func verify(ring *signers.Ring, revision gitsync.Revision, proof gitsync.Proof, now time.Time) (string, error) {
	object := func(name string, signed gitsync.Signed) signers.Object {
		return signers.Object{Name: name, Payload: signed.Payload, Signature: signed.Signature, Email: signed.Email, Time: signed.Time}
	}
	var tagged string
	var err error
	switch {
	case revision.Tag && proof.Tag == nil:
		return "", fault.New(fault.Place{}, fmt.Sprintf("make the tag again: git tag --force --sign %s, then agent retry", revision.Ref),
			"tag %s is not signed: it is a lightweight tag", revision.Ref)
	case revision.Tag:
		if tagged, err = ring.Verify(object("tag "+revision.Ref, *proof.Tag), now); err != nil {
			return "", err
		}
	}
	signer, err := ring.Verify(object("commit "+revision.Commit[:10], proof.Commit), now)
	if err == nil && tagged != "" && tagged != signer {
		signer += ", tag by " + tagged
	}
	return signer, err
}

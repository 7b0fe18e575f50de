package sync

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/storer"

	"coin.internal/coin-agent/internal/fault"
)

// Signed is a commit or tag as it was signed.
type Signed struct {
	Payload   []byte    // the object without its signature
	Signature string    // "" for none
	Email     string    // of the committer or tagger
	Time      time.Time // that the committer or tagger gives
}

// Proof is what the signatures of a revision are about.
type Proof struct {
	Commit Signed
	Tag    *Signed // the revision's tag; nil for a branch, and for a tag without an object of its own
}

// Proof reads the commit of a revision, and its tag, without the folders and files of the
// commit. It fails with ErrMoved when the tag is gone, or
// names another commit by now.
func (r *Repository) Proof(ctx context.Context, rev Revision) (Proof, error) {
	commit, err := commitHash(rev.Commit)
	if err != nil {
		return Proof{}, err
	}
	want := need{wants: []plumbing.Hash{commit}, depth: 1, filter: packp.FilterTreeDepth(0)}
	if rev.Tag {
		refs, err := r.src.list(ctx, []string{tagPrefix + rev.Ref})
		if err != nil {
			return Proof{}, err
		}
		tag, ok := refs[tagPrefix+rev.Ref]
		if !ok {
			return Proof{}, r.moved(rev)
		}
		want.wants = []plumbing.Hash{tag} // which brings the commit, too
	}
	store, err := r.src.pull(ctx, want)
	if err != nil {
		return Proof{}, err
	}
	var proof Proof
	if tag := want.wants[0]; tag != commit {
		if proof.Tag, err = r.signedTag(store, tag, rev); err != nil {
			return Proof{}, err
		}
	}
	found, err := object.GetCommit(store, commit)
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return Proof{}, r.moved(rev)
	}
	if err != nil {
		return Proof{}, fmt.Errorf("read commit %s: %w", rev.Commit, err)
	}
	payload, err := unsigned(found.EncodeWithoutSignature)
	if err != nil {
		return Proof{}, fmt.Errorf("read commit %s: %w", rev.Commit, err)
	}
	proof.Commit = Signed{Payload: payload, Signature: found.PGPSignature, Email: found.Committer.Email, Time: found.Committer.When}
	return proof, nil
}

// signedTag reads the object of the tag. The object names the tag and the commit, so that
// the signature of another tag, or of a tag on a tag, proves nothing.
func (r *Repository) signedTag(store storer.EncodedObjectStorer, hash plumbing.Hash, rev Revision) (*Signed, error) {
	tag, err := object.GetTag(store, hash)
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return nil, r.moved(rev) // a tag without an object, on another commit
	}
	if err != nil {
		return nil, fmt.Errorf("read tag %s: %w", rev.Ref, err)
	}
	if tag.TargetType != plumbing.CommitObject {
		return nil, &fault.Error{
			Message: fmt.Sprintf("the tag %s is on another tag, not on a commit", rev.Ref),
			Hint:    "make the tag again on the commit, with git tag -s", Err: ErrRenamed,
		}
	}
	if tag.Target.String() != rev.Commit {
		return nil, r.moved(rev)
	}
	payload, err := unsigned(tag.EncodeWithoutSignature)
	if err != nil {
		return nil, fmt.Errorf("read tag %s: %w", rev.Ref, err)
	}
	if tag.Name != rev.Ref {
		return nil, &fault.Error{
			Message: fmt.Sprintf("the tag %s is an object that was made for the tag %q", rev.Ref, tag.Name),
			Hint:    "make the tag again with git tag -s", Err: ErrRenamed,
		}
	}
	return &Signed{Payload: payload, Signature: tag.PGPSignature, Email: tag.Tagger.Email, Time: tag.Tagger.When}, nil
}

// ErrRenamed means that a tag's ref names the object of another tag, or a tag on a tag.
var ErrRenamed = errors.New("renamed tag")

// ErrMoved means that a ref was removed, or has another target by now.
var ErrMoved = fmt.Errorf("%w: the ref has moved", ErrNotFound)

// moved says that a ref has another target than the revision has.
func (r *Repository) moved(rev Revision) error {
	return &fault.Error{
		Message: fmt.Sprintf("%s does not have commit %s at %s", r.name, rev.Commit, rev.Ref),
		Hint:    fmt.Sprintf("wait for the next sync: %s may have moved", rev.Ref),
		Err:     ErrMoved,
	}
}

// unsigned gives the bytes of an object without its signature.
func unsigned(encode func(plumbing.EncodedObject) error) ([]byte, error) {
	var into plumbing.MemoryObject
	if err := encode(&into); err != nil {
		return nil, err
	}
	reader, err := into.Reader()
	if err != nil {
		return nil, err
	}
	defer func() { _ = reader.Close() }() // only read from
	return io.ReadAll(reader)
}

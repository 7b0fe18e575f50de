package fault

import "errors"

// transient is an error that the engine, the network, a registry or the node's disk causes.
type transient struct{ error }

func (t transient) Unwrap() error { return t.error }

// Transient marks each of the errors that err joins as caused by the engine, the network, a
// registry or the node's disk: what failed may succeed later, and is tried again automatically.
func Transient(err error) error {
	if err == nil {
		return nil
	}
	var all []error
	for _, one := range All(err) {
		all = append(all, transient{one})
	}
	if len(all) == 1 {
		return all[0]
	}
	return errors.Join(all...)
}

// IsTransient reports whether Transient marked an error in err.
func IsTransient(err error) bool { return errors.As(err, new(transient)) }

package record

// Correction is one field of a service that a correction of drift puts back.
type Correction struct {
	Service string `json:"service"`      // full name
	Field   string `json:"field"`        // its path in the spec; the action on a whole service
	To      string `json:"to,omitempty"` // the value that is put back; masked if it looks secret
}

// Corrected gives the fields that a sync has put back in the engine; none unless it is the
// correction of a drift.
func Corrected(s *Sync) []Correction {
	if s.Wrote || s.Rollback != nil && s.Rollback.Wrote {
		return s.Corrects
	}
	return nil
}

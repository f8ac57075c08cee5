"""What the talking faces say: one module per language with PHRASES (said as they are, always in training), TEMPLATES (filled
from SLOTS; a share of their sentences is held out) and SLOTS (name -> comma-separated choices, which may hold slots too)."""

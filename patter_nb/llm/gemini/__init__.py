"""What Gemini's two APIs, generateContent and Live, have in common: a conversation as contents, and a tool's schema."""

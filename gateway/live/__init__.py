"""The live room: sessions, what the host may say, what is proposed to people."""
